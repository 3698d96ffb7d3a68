// What the book's pages do by themselves: formulas, and a theme that the widgets follow.

for (const formula of document.querySelectorAll(".formula")) {
  katex.render(formula.textContent, formula, { displayMode: formula.tagName === "DIV", throwOnError: false });
}

/** The widgets of a lesson look where JupyterLab says its theme. */
function tellTheme() {
  const dark = document.documentElement.dataset.theme === "dark";
  if (document.body.dataset.jpThemeLight !== String(!dark)) document.body.dataset.jpThemeLight = String(!dark);
}

new MutationObserver(tellTheme).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
tellTheme();

// What is seen of a control must be in its name: the search button also shows its keys, a fold says what it hides.
for (const button of document.querySelectorAll(".search-button-field")) {
  button.setAttribute("aria-label", button.textContent.replace(/\s+/g, " ").trim());
}
for (const summary of document.querySelectorAll("summary[aria-label]")) summary.removeAttribute("aria-label");
