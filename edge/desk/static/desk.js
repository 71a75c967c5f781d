// Keys, the claim's countdown, what was typed, and the next item in advance. Every page works without this script.
"use strict";
(() => {
  const KEPT = "isthmus-desk ", DONE = "isthmus-desk-done", SINGLE_KEYS = "isthmus-desk-keys";
  const ENDING_S = 60, LEAST_LEFT_S = 30;
  let ends = 0;      // time of performance.now() at which the claim ends
  let ahead = null;  // {path, html, at}: the next item, claimed and loaded
  let isAsking = false;

  const main = () => document.getElementById("main");
  const decisions = () => [...document.querySelectorAll("form.decides")];
  const text = (name) => document.body.dataset[name];

  function tell(message, link) {
    const told = document.getElementById("told");
    told.replaceChildren(message);
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link;
      anchor.textContent = text("signOn");
      told.append(" ", anchor);
    }
    told.scrollIntoView({ block: "nearest" });
  }

  // --- What was typed is kept in this tab until the item is decided

  function keep(form) {
    const typed = {};
    for (const [name, value] of new FormData(form)) {
      if (/^(act|reason|note|text-|field-)/.test(name)) typed[name] = value;
    }
    sessionStorage.setItem(KEPT + form.dataset.item, JSON.stringify(typed));
  }

  function restore(form) {
    const typed = JSON.parse(sessionStorage.getItem(KEPT + form.dataset.item) || "{}");
    let isChanged = false;
    for (const field of form.elements) {
      if (!(field.name in typed) || field.type === "hidden") continue;
      if (field.type === "radio") {
        const isChosen = field.value === typed[field.name];
        isChanged ||= isChosen && !field.checked;
        field.checked = isChosen;
      } else if (field.value !== typed[field.name]) {
        field.value = typed[field.name];
        isChanged = true;
      }
    }
    if (isChanged) {
      openCorrection(form);
      tell(text("restored"));
    }
  }

  function openCorrection(form) {
    const correction = form.querySelector("details.correction");
    if (correction && form.querySelector("[name=act][value=correct]:checked")) correction.open = true;
  }

  // --- The claim's countdown

  function count() {
    const claim = document.querySelector(".claim");
    if (!claim) return;
    const left = Math.max(0, Math.round((ends - performance.now()) / 1000));
    const minutes = Math.floor(left / 60), seconds = String(left % 60).padStart(2, "0");
    claim.querySelector(".left").textContent = `${minutes}:${seconds}`;
    claim.classList.toggle("ending", left <= ENDING_S);
    if (left === 0 && claim.dataset.told !== "yes") {
      claim.dataset.told = "yes";
      tell(text("claimEnded"));
    }
  }

  // --- Sending a form without leaving the page, so that nothing typed is lost

  async function post(form, submitter) {
    const body = new URLSearchParams(new FormData(form, submitter));
    const answer = await fetch(submitter?.getAttribute("formaction") || form.action, {
      method: "POST", body, redirect: "manual", headers: { accept: "application/json" },
    });
    // The sign-on's proxy sends who is not signed on elsewhere.
    if (answer.type === "opaqueredirect" || answer.status === 401) return { signedOut: true };
    if ((answer.headers.get("content-type") || "").startsWith("application/json")) return answer.json();
    return { html: await answer.text(), status: answer.status };
  }

  async function decide(form, submitter) {
    keep(form);
    let told;
    try {
      told = await post(form, submitter);
    } catch {
      tell(text("notSent"));
      return;
    }
    if (told.signedOut) {
      tell(text("sessionOver"), "/oauth2/start?rd=" + encodeURIComponent("/items/" + form.dataset.item));
    } else if (told.location) {
      sessionStorage.removeItem(KEPT + form.dataset.item);
      if (told.done) sessionStorage.setItem(DONE, told.done);
      go(told.location);
    } else if (told.html) {
      show(told.html, null, 0);
    } else {
      tell(text("notSent"));
    }
  }

  function go(location) {
    const next = ahead;
    ahead = null;
    if (next && next.path === location) show(next.html, location, next.at);
    else window.location.assign(location);
  }

  // `at`: when the page was loaded, for its countdown
  function show(html, path, at) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const left = Number(page.querySelector(".claim")?.dataset.left ?? 0) - (at ? (performance.now() - at) / 1000 : 0);
    if (path && left < LEAST_LEFT_S) {
      window.location.assign(path);
      return;
    }
    document.title = page.title;
    document.body.replaceWith(document.adoptNode(page.body));
    if (path) history.pushState(null, "", path);
    window.scrollTo(0, 0);
    start(at);
    main().focus();
  }

  // --- The next item is claimed and loaded while this one is read

  async function lookAhead() {
    const form = document.querySelector("form.ahead");
    if (!form || isAsking || ahead) return;
    isAsking = true;
    try {
      const told = await post(form);
      if (!told.location || !told.location.startsWith("/items/")) return;
      const answer = await fetch(told.location, { redirect: "manual", headers: { accept: "text/html" } });
      if (!answer.ok) return;
      ahead = { path: told.location, html: await answer.text(), at: performance.now() };
      form.dataset.loaded = ahead.path;
    } catch {
      // The decision's own answer names the next item.
    } finally {
      isAsking = false;
    }
  }

  // Whoever leaves does not keep the claim of an item that was only loaded in advance.
  window.addEventListener("pagehide", () => {
    if (!ahead) return;
    const page = new DOMParser().parseFromString(ahead.html, "text/html");
    const form = page.querySelector(".release");
    if (form) navigator.sendBeacon(form.getAttribute("action"), new URLSearchParams(new FormData(form)));
    ahead = null;
  });
  window.addEventListener("popstate", () => window.location.reload());

  // --- Keys

  function usesKeys() {
    return localStorage.getItem(SINGLE_KEYS) !== "no";
  }

  function isTyping(target) {
    return target.matches("textarea, select, input:not([type=radio], [type=checkbox])") || target.isContentEditable;
  }

  function move(step) {
    const items = [...document.querySelectorAll("a.item")];
    if (!items.length) return;
    const now = items.indexOf(document.activeElement);
    items[Math.min(Math.max(now + step, 0), items.length - 1)].focus();
  }

  function choose(field) {
    field.checked = true;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    const form = field.form, correction = form.querySelector("details.correction");
    openCorrection(form);
    if (field.value === "approve") form.querySelector("button.first").focus();
    else if (field.value === "correct") correction.querySelector("textarea, input:not([readonly]), select").focus();
    else form.querySelector("[name=reason]").focus();
  }

  function use(field) {
    if (field.matches("input[type=radio]")) choose(field);
    else if (field.matches("textarea")) field.focus();
    else {
      field.focus();
      field.click();
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey && event.target.form?.matches(".decides")) {
      event.preventDefault();
      event.target.form.requestSubmit(event.target.form.querySelector("button.first"));
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") main().focus();
      return;
    }
    if (!usesKeys()) return;
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      move(event.key === "j" ? 1 : -1);
      return;
    }
    const field = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (field) {
      event.preventDefault();
      use(field);
    }
  });

  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form.decides");
    if (form) keep(form);
    if (event.target.id === "use-keys") localStorage.setItem(SINGLE_KEYS, event.target.checked ? "yes" : "no");
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form.decides");
    if (form) {
      keep(form);
      openCorrection(form);
    }
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".decides") || event.defaultPrevented) return;
    event.preventDefault();
    decide(event.target, event.submitter);
  });

  function start(at) {
    const claim = document.querySelector(".claim");
    if (claim) ends = (at || performance.now()) + 1000 * Number(claim.dataset.left);
    const box = document.getElementById("use-keys");
    if (box) box.checked = usesKeys();
    const done = sessionStorage.getItem(DONE);
    sessionStorage.removeItem(DONE);
    if (done) tell(done);
    decisions().forEach(restore);
    count();
    if (document.getElementById("shown-changes")) document.getElementById("shown-changes").focus();
    setTimeout(lookAhead, 300);
  }

  setInterval(count, 1000);
  start(0);
})();
