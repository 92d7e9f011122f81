//! What `portcullis doctor` finds: each store opened and tried out, whatever became of the others.

use std::time::Duration;

use super::{StartupFailure, data_dir, database_target, open_database};
use crate::domain::Clock;
use crate::services::health::{self, Health};
use crate::settings::{DatabaseUrl, Settings};
use crate::storage::database_time::{ClockDifference, clock_difference};
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
    let (tried, difference) = try_database(settings).await?;
    let database = health::of_database(tried, difference);
    let redis = match &settings.redis_url {
        None => None,
        Some(url) => Some(match redis::try_out(url, &settings.redis_prefix).await {
            Ok((latency, warning)) => Health { tried: Ok(latency), warning, clock_ahead: None },
            Err(fault) => Health { tried: Err(fault), warning: None, clock_ahead: None },
        }),
    };
    Ok(vec![Checkup { name: "database", health: Some(database) }, Checkup { name: "redis", health: redis }])
}

type Tried = Result<Duration, Fault>;

async fn try_database(settings: &Settings) -> Result<(Tried, Option<ClockDifference>), StartupFailure> {
    let target = database_target(&settings.database_url);
    let fault = match open_database(settings, &target).await? {
        Ok(database) => {
            let tried = readiness::try_database(&database, false).await;
            let difference = clock_difference(&database, &Clock::default()).await;
            return Ok((tried, difference.unwrap_or_default()));
        }
        Err(error) => Fault {
            failed: "open",
            code: "unavailable".to_owned(),
            said: String::new(),
            advice: StartupFailure::database(&target, &error).to_string(),
        },
    };
    Ok((Err(fault), None))
}
