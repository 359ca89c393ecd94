// The theme fetches the index of the search, by far the heaviest file of the site, with every page. Here it waits until
// the search is opened, or comes at once where the page was found by a search and marks its words. Loaded before the
// theme's script.
const toggle = document.getElementById("__search");
const opened = new Promise((open) => {
  if (toggle.checked || new URLSearchParams(location.search).has("h")) open();
  else toggle.addEventListener("change", open, { once: true });
});

window.XMLHttpRequest = class extends XMLHttpRequest {
  open(method, address, ...rest) {
    this.waits = String(address).endsWith("search/search_index.json");
    super.open(method, address, ...rest);
  }

  send(body) {
    if (this.waits) opened.then(() => super.send(body));
    else super.send(body);
  }
};
