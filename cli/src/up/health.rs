//! Whether the parts serve.

use std::time::Duration;

/// Between two questions to one part.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Returns when `/healthz` of every address answers 200. The caller bounds the wait.
pub(super) async fn all_serve(addresses: &[String]) {
    for address in addresses {
        let url = format!("http://{address}/healthz");
        while !is_healthy(url.clone()).await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

async fn is_healthy(url: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_MAX))
            .build()
            .into();
        agent.get(&url).call().is_ok()
    });
    asked.await.unwrap_or(false)
}
