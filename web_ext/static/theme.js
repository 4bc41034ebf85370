// Light or dark, as Locust decides: localStorage.theme, else the system.
// A classic script in the head, so that the page is never painted in the wrong one.
// In a frame the "storage" event brings the choice made in Locust's own header, live.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage may be forbidden; the system decides then
    }
  }

  function apply() {
    // What the viewer chose counts first, then the scenario's dashboard block, then the system.
    const choice = stored() ?? document.documentElement.dataset.defaultTheme;
    const dark = choice === "dark" || (choice !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    dispatchEvent(new Event("themechange"));
  }

  function toggle() {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", next);
    } catch {
      document.documentElement.dataset.theme = next;
      dispatchEvent(new Event("themechange"));
      return;
    }
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("defaulttheme", apply);
  addEventListener("storage", (event) => {
    if (event.key === "theme" || event.key === null) apply();
  });
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", toggle);
  });
})();
