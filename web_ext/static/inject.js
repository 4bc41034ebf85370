// In Locust's own page: fill the banksim tab with the live page, and offer a link before a
// run has begun (there are no tabs then).
//
// Everything here is optional.  What is not found is left alone: the tab then stays empty,
// and Locust's page works as it always did.

const script = document.getElementById("banksim-inject");
const pageUrl = script.dataset.page;
const tabKey = script.dataset.tab;

let frame = null;
let link = null;

const chosenTab = () => new URLSearchParams(location.search).get("tab");

function ensureFrame(main) {
  if (frame?.isConnected) return;
  frame = document.createElement("iframe");
  frame.src = `${pageUrl}?embed=1`;
  frame.title = "banksim, live";
  frame.style.cssText = "display:block;width:100%;border:0;height:calc(100vh - 190px);min-height:560px";
  main.append(frame);
}

function showLink(toolbar) {
  if (link?.isConnected || !toolbar?.lastElementChild) return;
  link = document.createElement("a");
  link.href = pageUrl;
  link.textContent = "banksim live";
  link.style.cssText =
    "color:inherit;font:500 14px Roboto,system-ui,sans-serif;margin-right:24px;padding:6px 10px;" +
    "border:1px solid currentColor;border-radius:4px;text-decoration:none;white-space:nowrap";
  toolbar.lastElementChild.prepend(link);
}

function place() {
  const main = document.querySelector("#root main");
  if (!main) return;
  // React renders the tab's label; without it there is no tab to fill.
  const tabs = main.querySelectorAll('[role="tab"]');
  if (tabs.length === 0) {
    frame?.remove();
    showLink(document.querySelector("#root header .MuiToolbar-root"));
    return;
  }
  link?.remove();
  const open = chosenTab() === tabKey;
  if (open) ensureFrame(main);
  if (frame) frame.style.display = open ? "block" : "none";
}

let asked = false;

function soon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    place();
  });
}

const root = document.getElementById("root");
if (root) {
  for (const name of ["pushState", "replaceState"]) {
    const original = history[name];
    history[name] = function (...args) {
      const result = original.apply(this, args);
      soon();
      return result;
    };
  }
  addEventListener("popstate", soon);
  new MutationObserver(soon).observe(root, { childList: true, subtree: true });
  soon();
}
