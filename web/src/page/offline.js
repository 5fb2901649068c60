/** Offline use after the first visit, with the service worker. */

/**
 * Register the service worker and let it cache what this visit fetched.
 *
 * @returns {Promise<boolean>} whether the page now works offline
 */
export async function keepOffline() {
  if (!navigator.serviceWorker) return false; // plain http or a private window
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => {
        navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      });
    }
    // On the first visit, the page fetched onnxruntime-web before the service worker existed. The
    // worker caches what is fetched again; the bytes come from the browser's own cache.
    const urls = performance.getEntriesByType("resource").map((entry) => entry.name);
    for (const url of new Set(urls.filter((url) => url.includes("/vendor/")))) {
      const response = await fetch(url);
      if (!response.ok) return false;
      await response.blob();
    }
    return true;
  } catch {
    return false; // storage is full or forbidden, so the page works online only
  }
}
