/**
 * Light or dark: as the system says, until somebody chooses.
 */
import { byId } from "./dom.js";

const KEY = "audit-stream.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {() => void} onChange the colours are new: whatever is drawn must be drawn again */
export function setUpTheme(onChange) {
  const root = document.documentElement;
  const button = byId("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const choice = stored();
  if (choice === "light" || choice === "dark") root.dataset.theme = choice;
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      /* the choice then lasts as long as the page */
    }
    label();
    onChange();
  });
  dark.addEventListener("change", () => {
    label();
    onChange();
  });
}
