// Sets the chosen theme before anything is drawn. A classic script, because modules run too late for that.

(() => {
  try {
    const chosen = localStorage.getItem("runcast.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage here: the system's theme it is
  }
})();
