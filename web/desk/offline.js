// Keeps what the page is made of, so that it works without a network. What is new on the server is there at the next visit.

// The WebAssembly module that this browser takes: the page says which.
const MODULE = new URL(location).searchParams.get("module");

const CACHE = "fastnst-0.1.0";
const FILES = [
  "./", "index.html", "desk.css", "desk.js", "gallery.js", "native.js", "regions.js", "words.js", "icon.svg", "app.webmanifest",
  ...["fastnst.js", "models.js", "engine.js", "pictures.js", "calls.js", "worker.js"].map((name) => `../${name}`),
  MODULE, "../models/adain-16x.fnst",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const stale = (names) => names.filter((name) => name.startsWith("fastnst-") && name !== CACHE);
  event.waitUntil(
    caches.keys().then((names) => Promise.all(stale(names).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});

const kept = async (request) => {
  const cache = await caches.open(CACHE), found = await cache.match(request, { ignoreSearch: true });
  const fresh = fetch(request).then(async (response) => {
    if (response.ok) await cache.put(request, response.clone());
    return response;
  });
  if (!found) return fresh;
  fresh.catch(() => {}); // offline
  return found;
};

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && new URL(url).origin === location.origin) event.respondWith(kept(event.request));
});
