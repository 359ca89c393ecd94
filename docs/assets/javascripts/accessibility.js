// The theme adds two things after a page has loaded. A table that is wider than the screen scrolls, as does a formula: the
// keyboard must reach them. Each code block gets a landmark for its buttons: it needs a name of its own.
function complete() {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) region.tabIndex = 0;
  for (const formula of document.querySelectorAll("div.arithmatex:not([tabindex])")) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
  }
  document.querySelectorAll(".md-code__nav").forEach((buttons, number) => {
    const name = `Code block ${number + 1}`;
    if (buttons.getAttribute("aria-label") !== name) buttons.setAttribute("aria-label", name);
  });
}
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", complete);
complete();
