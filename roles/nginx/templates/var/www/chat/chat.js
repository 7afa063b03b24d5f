// Starts converse.js with the settings of the domain. It asks nobody but this site.
const { version } = document.querySelector("script[data-version]").dataset;
const assets = `/chat/${version}/`;
const { converse } = window;

const settings = await (await fetch("settings.json")).json();
const { domain, register, ...options } = settings;
document.title = domain;

// What the page says itself, and what the former one left to be said.
const texts = {
  de: { register: "Konto anlegen", refused: "Name oder Passwort ist falsch.", ended: "Die Verbindung ist beendet." },
  en: { register: "Make an account", refused: "The name or the password is wrong.", ended: "The connection has ended." },
};
const say = (key) => texts[document.documentElement.lang.startsWith("de") ? "de" : "en"][key];
const outcome = sessionStorage.getItem("outcome");
sessionStorage.removeItem("outcome");

// An element that is there already is not converse.js's.
function define(name, ...children) {
  customElements.define(name, class extends HTMLElement {
    connectedCallback() {
      this.replaceChildren(...children.map(([tag, properties]) => {
        const { text, ...others } = properties ?? {};
        return Object.assign(document.createElement(tag), { textContent: text?.() ?? "" }, others);
      }));
    }
  });
}
define("converse-brand-logo", ["h1", { text: () => domain }], ...(outcome ? [["p", { role: "alert", text: () => say(outcome) }]] : []));
define("converse-controlbox-navbar", ["span"]);
// The makers' footer would fetch pictures from elsewhere.
define("converse-footer", ["a", { href: "https://conversejs.org/", text: () => `converse.js ${version}`, rel: "noopener noreferrer" }]);
// Accounts are made on our own page, where strangers may make any.
if (register) define("converse-register-link", ["a", { href: "/register/", text: () => say("register") }]);

// Who has done nothing yet is not sent round and round.
let touched = false;
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { touched = true; }, { once: true, capture: true });

converse.plugins.add("site", {
  initialize() {
    const { api, state } = this._converse;
    // The language that converse.js is going to choose.
    const known = api.settings.get("locales");
    const chosen = navigator.languages.flatMap((tag) => [tag.replace("-", "_"), tag.split("-")[0]]).find((tag) => known.includes(tag));
    document.documentElement.lang = (chosen ?? "en").replace("_", "-");

    // Where a device is not trusted, converse.js forgets its login form with all else, and the page is empty: begin anew.
    let refused = false, left = false;
    api.listen.on("beforeLogout", () => { left = true; });
    state.connfeedback.on("change:connection_status", ({ changed }) => {
      refused ||= changed.connection_status === converse.env.Strophe.Status.AUTHFAIL;
    });
    api.listen.on("disconnected", () => {
      if (!touched) return;
      setTimeout(() => {
        if (!state.config.get("trusted")) sessionStorage.clear();
        if (!left) sessionStorage.setItem("outcome", refused ? "refused" : "ended");
        location.reload();
      });
    });
  },
});

converse.initialize({
  assets_path: assets,
  notification_icon: `${assets}images/logo/conversejs-filled.svg`,
  view_mode: "fullscreen",
  locked_domain: domain,
  discover_connection_methods: false,
  blacklisted_plugins: ["converse-register"],
  whitelisted_plugins: ["site"],
  autocomplete_providers_url: "",
  muc_search_service: "",
  embed_3rd_party_media_players: false,
  // Who leaves leaves nothing behind, unless the device is said to be trusted.
  allow_user_trust_override: "off",
  ...options,
});
