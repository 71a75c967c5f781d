// Search, and links that open folded parts. This file has no value of a resource; texts are inserted as text.
(() => {
  "use strict";
  const MOST = 50;
  const form = document.getElementById("search");
  const input = document.getElementById("search-for");
  const found = document.getElementById("search-found");
  const told = document.getElementById("search-told");
  let items;

  // Built at the first search, so that the page opens quickly.
  const all = () =>
    (items ??= [...document.querySelectorAll("[data-find]")].map((element) => ({
      element,
      text: element.dataset.find.toLowerCase(),
    })));

  function show(element) {
    for (let ancestor = element; ancestor; ancestor = ancestor.parentElement) {
      if (ancestor.tagName === "DETAILS") ancestor.open = true;
    }
    const target = element.querySelector(":scope > summary") ?? element;
    if (target === element) element.tabIndex = -1;
    target.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start" });
  }

  function result(element) {
    const link = document.createElement("a");
    link.href = `#${element.id}`;
    link.textContent = element.querySelector(".label").textContent.replace(/\s+/g, " ").trim();
    const entry = document.createElement("li");
    entry.append(link);
    return entry;
  }

  function search() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = words.length ? all().filter(({ text }) => words.every((word) => text.includes(word))) : [];
    found.replaceChildren(...hits.slice(0, MOST).map(({ element }) => result(element)));
    found.hidden = !hits.length;
    if (!words.length) told.textContent = "";
    else if (!hits.length) told.textContent = `None of ${all().length} entries matches. A preview does not list unchanged resources.`;
    else told.textContent = `${hits.length} of ${all().length} match${hits.length > MOST ? `; the first ${MOST} are listed` : ""}.`;
  }

  function follow() {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (element) show(element);
  }

  form.hidden = false;
  for (const link of document.querySelectorAll(".needs-script")) link.hidden = false;
  input.addEventListener("input", search);
  // A browser that goes back keeps what was typed.
  if (input.value) search();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    found.querySelector("a")?.click();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      input.value = "";
      search();
      input.focus();
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const element = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!element) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    show(element);
  });
  for (const button of document.querySelectorAll("button[data-open]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = button.dataset.open === "yes";
      for (const details of button.closest("section").querySelectorAll("details")) details.open = open;
    });
  }
  // The picture does not fit a phone: there the same in words is open.
  if (matchMedia("(max-width: 700px)").matches) {
    for (const each of document.querySelectorAll("details.inwords")) each.open = true;
  }
  addEventListener("hashchange", follow);
  if (location.hash) follow();
})();
