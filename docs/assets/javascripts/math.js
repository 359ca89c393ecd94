// Sets the formulas of a page that has some, each before it comes into view: a page of a hundred answers at once.
const near = new IntersectionObserver(
  (changes) => changes.filter((change) => change.isIntersecting).forEach((change) => set(change.target)),
  { rootMargin: "50%" }, // of the screen, above and below
);

function set(formula) {
  near.unobserve(formula);
  if (formula.querySelector(".katex")) return;
  const text = formula.textContent.trim();
  katex.render(text.slice(2, -2), formula, { displayMode: text.startsWith("\\["), throwOnError: true });
}

const formulas = document.querySelectorAll(".arithmatex");
formulas.forEach((formula) => near.observe(formula));
addEventListener("beforeprint", () => formulas.forEach(set));
