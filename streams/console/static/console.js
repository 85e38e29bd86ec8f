// @ts-check
/**
 * What pages do by themselves: load their moving part again, switch between light and dark, obey keys.
 * Everything works without it; nothing here draws or escapes, because the server sends finished HTML.
 */
(() => {
  "use strict";

  /** @type {HTMLElement} */
  const root = document.documentElement;
  let paused = false;

  /** Load the page again and put its moving part in the place of the old one. */
  async function refresh() {
    const old = document.getElementById("live");
    if (!old || paused || document.hidden) return;
    if (old.contains(document.activeElement) && document.activeElement?.matches("input, select, textarea")) return;
    if (!document.getSelection()?.isCollapsed) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) {
        location.reload();
        return;
      }
      const focused = document.activeElement instanceof HTMLElement ? signOf(document.activeElement) : "";
      for (const open of old.querySelectorAll("details[open][id]")) fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
      old.replaceWith(fresh);
      document.title = page.title;
      if (focused && document.activeElement === document.body) find(fresh, focused)?.focus();
      tell(`as of ${new Date().toISOString().slice(11, 19)}`);
    } catch {
      tell("no answer from the console");
    }
    showPause();
  }

  /**
   * A way to find the same element again in a fresh page.
   * @param {HTMLElement} element
   */
  function signOf(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const link = element.getAttribute("href");
    if (link) return `a[href="${CSS.escape(link)}"]`;
    const owner = element.closest("details[id]");
    return owner ? `#${CSS.escape(owner.id)} > summary` : "";
  }

  /**
   * @param {Element} within
   * @param {string} sign
   * @returns {HTMLElement | null}
   */
  const find = (within, sign) => within.querySelector(sign);

  /** @param {string} text */
  function tell(text) {
    const pulse = document.getElementById("pulse");
    if (pulse) pulse.textContent = text;
  }

  function showPause() {
    const button = document.getElementById("pause");
    if (!button) return;
    button.hidden = false;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    if (paused) tell("paused");
  }

  function togglePause() {
    paused = !paused;
    showPause();
    if (!paused) void refresh();
  }

  function schedule() {
    const pause = Number(document.getElementById("live")?.dataset.live ?? 0);
    if (pause > 0) setTimeout(() => void refresh().finally(schedule), pause);
  }

  function switchTheme() {
    const shown = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = shown === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
  }

  /** Views by the key that follows `g`. @type {Record<string, string>} */
  const views = { l: "/", a: "/alerts", r: "/review", v: "/verdicts", m: "/models", d: "/letters", p: "/replay", u: "/audit" };
  let goes = false;

  /**
   * The row after or before the focused one.
   * @param {number} by
   */
  function step(by) {
    const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("a.row")]);
    if (!rows.length) return;
    const at = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))].focus();
  }

  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("input, select, textarea")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (goes) {
      goes = false;
      const view = views[event.key];
      if (view) location.assign(view);
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search")?.focus();
    } else if (event.key === "g") goes = true;
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "p" && document.getElementById("pause")) togglePause();
  });

  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("#pause")) togglePause();
    if (target.closest("#theme")) switchTheme();
  });

  const theme = document.getElementById("theme");
  if (theme) theme.hidden = false;
  if (document.getElementById("live")?.dataset.live) showPause();
  schedule();
})();
