//! What `portcullis doctor` finds: each store opened and tried out, whatever became of the others.

use std::time::Duration;

use super::{StartupFailure, data_dir, database_target, open_database};
use crate::services::health::Health;
use crate::settings::{DatabaseUrl, Settings};
use crate::storage::readiness::{self, Fault};
use crate::storage::sessions::redis;

/// One store, and how it fares; `None` where there is none.
pub struct Checkup {
    pub name: &'static str,
    pub health: Option<Health>,
}

/// Tries out all that the server needs, as requests need it. Like every command it migrates the database.
pub async fn checkup(settings: &Settings) -> Result<Vec<Checkup>, StartupFailure> {
    if matches!(settings.database_url, DatabaseUrl::Sqlite(_)) {
        data_dir::prepare(settings)?;
    }
    let database = Health { tried: try_database(settings).await?, warning: None };
    let redis = match &settings.redis_url {
        None => None,
        Some(url) => Some(match redis::try_out(url, &settings.redis_prefix).await {
            Ok((latency, warning)) => Health { tried: Ok(latency), warning },
            Err(fault) => Health { tried: Err(fault), warning: None },
        }),
    };
    Ok(vec![Checkup { name: "database", health: Some(database) }, Checkup { name: "redis", health: redis }])
}

async fn try_database(settings: &Settings) -> Result<Result<Duration, Fault>, StartupFailure> {
    let target = database_target(&settings.database_url);
    Ok(match open_database(settings, &target).await? {
        Ok(database) => readiness::try_database(&database, false).await,
        Err(error) => Err(Fault {
            failed: "open",
            code: "unavailable".to_owned(),
            said: String::new(),
            advice: StartupFailure::database(&target, &error).to_string(),
        }),
    })
}
