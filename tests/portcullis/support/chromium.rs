//! A person with a real browser: Chromium, driven by its own `chromedriver`.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::eventually;
use super::folder::Folder;
use super::program::Lines;

/// Longer than anything takes on any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A Chromium with a fresh profile. [`Chromium::quit`] ends it in good order, a drop in any.
pub struct Chromium {
    client: Client,
    driver: Child,
    /// The browser's own process: a driver that is killed leaves it behind.
    browser: Option<u64>,
    /// Downloads are there too.
    profile: Folder,
    origin: String,
}

impl Chromium {
    /// Opens a browser for the site at `origin`.
    pub async fn open(origin: &str, javascript: bool) -> Self {
        let profile = Folder::new();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // Also what they leave behind when they are killed.
            .env("TMPDIR", &*profile)
            // Whoever runs the tests may read another language, and live elsewhere.
            .envs([("LANGUAGE", "en"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver can't be started: {error}. Use tests/run.sh"));
        let told = Lines::of(driver.stdout.take().expect("its output"));
        let mut port = None;
        eventually("chromedriver says where it listens", LIMIT, async || {
            assert!(driver.try_wait().expect("a child of ours").is_none(), "chromedriver ended: {}", told.text());
            port = told.text().lines().find_map(port_in);
            port.is_some()
        })
        .await;
        let port = port.expect("it was found");
        let options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,1024",
                format!("--user-data-dir={}", profile.display()),
            ],
            // 2 blocks scripts of every site, as a person would in the settings.
            "prefs": {
                "profile.managed_default_content_settings.javascript": if javascript { 1 } else { 2 },
                "download.default_directory": profile.display().to_string(),
                "intl.accept_languages": "en",
            },
        });
        let capabilities = json!({
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("an object").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        let browser = client.capabilities().and_then(|capabilities| capabilities.get("goog:processID")?.as_u64());
        Self { client, driver, browser, profile, origin: origin.to_owned() }
    }

    pub async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.expect("the page opens");
    }

    /// Goes back in the history, as the button does.
    pub async fn back(&self) {
        self.client.back().await.expect("back");
    }

    /// The path and query of the page on the screen.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("a URL");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// All that a person can read.
    pub async fn text(&self) -> String {
        self.element("body").await.text().await.expect("its text")
    }

    pub async fn title(&self) -> String {
        self.client.title().await.expect("a title")
    }

    /// What can be read of each element that `css` selects.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.expect("the page") {
            texts.push(element.text().await.expect("its text"));
        }
        texts
    }

    /// How many elements `css` selects.
    pub async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.expect("the page").len()
    }

    /// Types into the field with that id.
    pub async fn fill(&self, field: &str, text: &str) {
        let input = self.element(&format!("#{field}")).await;
        input.clear().await.expect("an empty field");
        input.send_keys(text).await.expect("a filled field");
    }

    /// Presses what `css` selects, and waits until the browser has gone to `path`, which may be the same again.
    pub async fn press(&self, css: &str, path: &str) {
        self.leave(css).await;
        self.arrives(path).await;
    }

    /// Waits until the page at `path` is there.
    pub async fn arrives(&self, path: &str) {
        let mut seen = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < LIMIT {
            seen = self.path().await;
            if seen == path {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("at {seen}, not at {path}: {}", self.text().await);
    }

    /// Sends the form of the page whose fields have these ids.
    pub async fn submit(&self, fields: &[(&str, &str)], path: &str) {
        for (field, text) in fields {
            self.fill(field, text).await;
        }
        self.press("main form button[type='submit'], main form button:not([type])", path).await;
    }

    /// An attribute of what `css` selects.
    pub async fn attribute(&self, css: &str, name: &str) -> String {
        let value = self.element(css).await.attr(name).await.expect("the page");
        value.unwrap_or_else(|| panic!("{css} has no {name}"))
    }

    /// Clicks on what an XPath selects, which leads nowhere.
    pub async fn click(&self, xpath: &str) {
        let element = self.client.find(Locator::XPath(xpath)).await.unwrap_or_else(|error| panic!("{xpath}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{xpath}: {error}"));
    }

    /// What was downloaded into a file whose name ends so.
    pub async fn download(&self, ending: &str) -> String {
        let found = || {
            let files = std::fs::read_dir(&*self.profile).expect("the profile").flatten().map(|file| file.path());
            files.into_iter().find(|path| path.to_string_lossy().ends_with(ending))
        };
        eventually(&format!("a download of {ending}"), LIMIT, async || found().is_some()).await;
        std::fs::read_to_string(found().expect("it was there")).expect("text")
    }

    /// Presses what `css` selects, and waits until the browser has gone elsewhere.
    pub async fn leave(&self, css: &str) {
        let button = self.element(css).await;
        button.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
        Self::gone(&button, css).await;
    }

    /// Presses the enter key where the focus is, and waits until the browser has gone to `path`, which may be the same
    /// again.
    pub async fn enter(&self, path: &str) {
        let page = self.element("html").await;
        self.keys("\n").await;
        Self::gone(&page, "the enter key").await;
        self.arrives(path).await;
    }

    /// Waits until the page of this element is gone: it answers no question then.
    async fn gone(element: &fantoccini::elements::Element, by: &str) {
        eventually(&format!("{by} leads on"), LIMIT, async || element.is_enabled().await.is_err()).await;
    }

    /// Presses these keys, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let keys = keys.replace('\t', &Key::Tab.to_string()).replace('\n', &Key::Enter.to_string());
        self.client.active_element().await.expect("a focus").send_keys(&keys).await.expect("keys");
    }

    /// Waits until the focus is in the field with that id, where the page puts it.
    pub async fn begins_in(&self, field: &str) {
        eventually(&format!("the focus in {field}"), LIMIT, async || {
            let element = self.client.active_element().await.expect("a focus");
            element.attr("id").await.expect("the page").as_deref() == Some(field)
        })
        .await;
    }

    /// Waits until the browser has gone to that part of the page.
    pub async fn skips_to(&self, part: &str) {
        eventually(&format!("#{part}"), LIMIT, async || {
            self.client.current_url().await.expect("a URL").fragment() == Some(part)
        })
        .await;
    }

    /// Presses the tab key until the focus is on what is called `name`.
    pub async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        while passed.last().is_none_or(|last| last != name) {
            assert!(passed.len() < 50, "no way to {name}: {passed:?}");
            self.keys("\t").await;
            passed.push(self.focus().await);
        }
    }

    /// The name of what has the focus, as assistive technology tells it; fails where the focus can't be seen.
    pub async fn focus(&self) -> String {
        let element = self.client.active_element().await.expect("a focus");
        let (style, width) = (element.css_value("outline-style").await, element.css_value("outline-width").await);
        let outline = format!("{} {}", style.expect("a style"), width.expect("a width"));
        assert_eq!(outline, "solid 3px", "{}", element.html(false).await.expect("its source"));
        let path = format!("element/{}/computedlabel", element.element_id().as_ref());
        let name = self.client.issue_cmd(DriverCommand { path, body: None }).await.expect("its name");
        name.as_str().unwrap_or_default().to_owned()
    }

    /// Ticks a checkbox.
    pub async fn tick(&self, field: &str) {
        self.element(&format!("#{field}")).await.click().await.expect("a checkbox");
    }

    /// Chooses from a list.
    pub async fn choose(&self, field: &str, value: &str) {
        self.element(&format!("#{field} option[value='{value}']")).await.click().await.expect("a choice");
    }

    /// Whether scripts run here.
    pub async fn runs_scripts(&self) -> bool {
        let page = "data:text/html,<p id=p>no</p><script>document.getElementById('p').textContent='yes'</script>";
        self.client.goto(page).await.expect("a page");
        self.text().await.contains("yes")
    }

    /// Messages of the console at level "SEVERE": violations of the content security policy, scripts that failed,
    /// assets that were not found. Those about answers with an error status of the page itself are left out.
    pub async fn console_errors(&self) -> Vec<String> {
        let log = DriverCommand { path: "se/log".to_owned(), body: Some(json!({ "type": "browser" })) };
        let entries = self.client.issue_cmd(log).await.expect("the log");
        let entries = entries.as_array().cloned().unwrap_or_default();
        let severe = entries.into_iter().filter(|entry| entry["level"] == "SEVERE");
        let messages = severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        messages.filter(|message| !message.contains("the server responded with a status of 4")).collect()
    }

    /// From now on as on a screen that is `width` CSS pixels wide, in the light or the dark scheme.
    pub async fn look(&self, width: u32, dark: bool) {
        let screen = json!({ "width": width, "height": 1024, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// From now on on a line on which each answer takes so long.
    pub async fn slow_down(&self, latency: Duration) {
        self.devtools("Network.enable", json!({})).await;
        let line = json!({
            "offline": false, "latency": latency.as_millis() as u64, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.devtools("Network.emulateNetworkConditions", line).await;
    }

    /// Presses what `css` selects, and after a pause once more, whatever the first has begun.
    pub async fn click_twice(&self, css: &str, pause: Duration) {
        let twice = "const [css, pause, done] = arguments, button = document.querySelector(css);
                     button.click(); setTimeout(() => button.click(), pause); done();";
        self.run(twice, vec![css.into(), (pause.as_millis() as u64).into()]).await;
    }

    /// The whole page as a picture: PNG in base64.
    pub async fn screenshot(&self) -> String {
        let answer = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        answer["data"].as_str().expect("a picture").to_owned()
    }

    /// Runs a script of the test's, whatever the policy of the page; its last argument is to be called with the answer.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(script, arguments).await.expect("the script runs")
    }

    /// A method of the DevTools protocol.
    async fn devtools(&self, method: &str, parameters: Value) -> Value {
        let body = Some(json!({ "cmd": method, "params": parameters }));
        let answer = self.client.issue_cmd(DriverCommand { path: "goog/cdp/execute".to_owned(), body }).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Closes the browser.
    pub async fn quit(mut self) {
        let _ = self.client.clone().close().await;
        self.browser = None;
    }

    async fn element(&self, css: &str) -> fantoccini::elements::Element {
        match self.client.wait().at_most(LIMIT).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}; at {}: {}", self.path().await, self.source().await),
        }
    }

    async fn source(&self) -> String {
        self.client.source().await.unwrap_or_default().chars().take(2000).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(browser) = self.browser {
            let _ = Command::new("kill").args(["-KILL", &browser.to_string()]).status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port, where chromedriver tells that it listens.
fn port_in(line: &str) -> Option<u16> {
    line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

/// A command for which fantoccini has no function; `POST` with a body, else `GET`.
#[derive(Debug)]
struct DriverCommand {
    path: String,
    body: Option<Value>,
}

impl fantoccini::wd::WebDriverCompatibleCommand for DriverCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (reqwest::Method, Option<String>) {
        match &self.body {
            Some(body) => (reqwest::Method::POST, Some(body.to_string())),
            None => (reqwest::Method::GET, None),
        }
    }
}
