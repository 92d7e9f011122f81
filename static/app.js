// Improves pages that work without it: shows a password, copies a command or link, keeps relative times current.
"use strict";

function button(words, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "aid";
  button.textContent = words;
  if (label) button.setAttribute("aria-label", label);
  return button;
}

for (const input of document.querySelectorAll(".secret > input")) {
  const show = button("Show", "Show password");
  show.setAttribute("aria-controls", input.id);
  const set = (visible) => {
    input.type = visible ? "text" : "password";
    show.textContent = visible ? "Hide" : "Show";
    show.setAttribute("aria-label", visible ? "Hide password" : "Show password");
  };
  show.addEventListener("click", () => set(input.type === "password"));
  // Browsers offer to save, and keep for the back button, what was sent as a password only.
  input.form.addEventListener("submit", () => set(false));
  input.after(show);
}

for (const text of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const copy = button("Copy");
  const said = document.createElement("span");
  said.className = "hidden";
  said.setAttribute("role", "status");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copy.textContent = said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
    }
  });
  text.after(copy, said);
}

// Ages are the server's: a clock that is wrong here does not matter.
const loaded = Date.now();
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const minutes = Math.floor((Number(time.dataset.age) + (Date.now() - loaded) / 1000) / 60);
    const words = minutes < 1 ? "Just now" : minutes < 60 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`;
    if (time.textContent !== words) time.textContent = words;
  }
}, 15000);
