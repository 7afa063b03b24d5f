// Starts converse.js with the settings of the domain. It asks nobody but this site.
const { version } = document.querySelector("script[data-version]").dataset;
const assets = `/chat/${version}/`;

const settings = await (await fetch("settings.json")).json();
const { domain, register, ...options } = settings;
document.title = domain;

// An element that is there already is not converse.js's.
function define(name, tag, properties = {}) {
  customElements.define(name, class extends HTMLElement {
    connectedCallback() { this.replaceChildren(Object.assign(document.createElement(tag), properties)); }
  });
}
define("converse-brand-logo", "h1", { textContent: domain });
define("converse-controlbox-navbar", "span");
// The makers' footer would fetch pictures from elsewhere.
define("converse-footer", "a", { href: "https://conversejs.org/", textContent: `converse.js ${version}`, rel: "noopener noreferrer" });
// Accounts are made on our own page.
if (register) {
  const text = navigator.language.startsWith("de") ? "Konto anlegen" : "Make an account";
  define("converse-register-link", "a", { href: "/register/", textContent: text });
}

window.converse.initialize({
  assets_path: assets,
  notification_icon: `${assets}images/logo/conversejs-filled.svg`,
  view_mode: "fullscreen",
  locked_domain: domain,
  discover_connection_methods: false,
  blacklisted_plugins: ["converse-register"],
  autocomplete_providers_url: "",
  muc_search_service: "",
  embed_3rd_party_media_players: false,
  // Who leaves leaves nothing behind, unless the device is said to be trusted.
  allow_user_trust_override: "off",
  ...options,
});
