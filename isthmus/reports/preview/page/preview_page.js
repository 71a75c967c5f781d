// Search, and links into what is folded. No value of a resource is in this file; texts go in as text.
(() => {
  "use strict";
  const MOST = 50;
  const form = document.getElementById("search");
  const input = document.getElementById("search-for");
  const found = document.getElementById("search-found");
  const told = document.getElementById("search-told");
  let items;

  // Made at the first search: opening the page stays quick.
  const all = () =>
    (items ??= [...document.querySelectorAll("[data-find]")].map((element) => ({
      element,
      text: element.dataset.find.toLowerCase(),
    })));

  function show(element) {
    for (let each = element; each; each = each.parentElement) {
      if (each.tagName === "DETAILS") each.open = true;
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
    else if (!hits.length) told.textContent = `Nothing of ${all().length} matches. What stays the same is not in a preview.`;
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
      for (const each of button.closest("section").querySelectorAll("details")) each.open = open;
    });
  }
  // The picture does not fit a phone: there the same in words is open.
  if (matchMedia("(max-width: 700px)").matches) {
    for (const each of document.querySelectorAll("details.inwords")) each.open = true;
  }
  addEventListener("hashchange", follow);
  if (location.hash) follow();
})();
