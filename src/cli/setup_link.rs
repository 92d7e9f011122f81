//! `portcullis setup-link`.

use super::{Failure, output};
use crate::services::Services;
use crate::services::accounts::{links, setup};

pub async fn run(services: &Services) -> Result<String, Failure> {
    if setup::administrator_exists(&services.database).await? {
        return Err(Failure::Failed(
            "there is an administrator already: `portcullis user reset-link USER` makes a link for a new password"
                .to_owned(),
        ));
    }
    let link = links::issue_setup(services).await?;
    Ok(format!(
        "Open this link to become the administrator. It is good once, until {}:\n{}\n",
        output::moment(link.expires_at),
        link.url
    ))
}
