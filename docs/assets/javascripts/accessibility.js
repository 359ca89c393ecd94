// A section of the navigation is named by a label that is empty or not there where a page is its heading: its title names it.
for (const section of document.querySelectorAll("nav[aria-labelledby]")) {
  if (document.getElementById(section.getAttribute("aria-labelledby"))?.textContent.trim()) continue;
  section.setAttribute("aria-label", section.querySelector(".md-nav__title").textContent.trim());
  section.removeAttribute("aria-labelledby");
}

const CODE_BLOCK = document.documentElement.lang.startsWith("zh") ? "代码块" : "Code block";

// The theme adds two things after a page has loaded. A table that is wider than the screen scrolls: the keyboard must reach
// it. Each code block gets a landmark for its buttons: it needs a name of its own.
function complete() {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) region.tabIndex = 0;
  document.querySelectorAll(".md-code__nav").forEach((buttons, number) => {
    const name = `${CODE_BLOCK} ${number + 1}`;
    if (buttons.getAttribute("aria-label") !== name) buttons.setAttribute("aria-label", name);
  });
}
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
complete();

// So must it reach a formula or a picture that is wider than the screen. All sizes are asked for before anything changes, so
// that the page is laid out once.
const sizes = new ResizeObserver((changes) => {
  const scrolling = changes.map((change) => change.target).filter((target) => target.scrollWidth > target.clientWidth);
  for (const target of scrolling) target.tabIndex = 0;
});
for (const wide of document.querySelectorAll(":is(div.arithmatex, .wide-picture)")) sizes.observe(wide);
