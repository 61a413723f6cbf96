import { defineConfig } from "vitest/config";
import { compressed } from "./vite.compressed.ts";

export default defineConfig({
  plugins: [compressed()],
  build: {
    target: "es2022",
    // A data: URL would need a hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: { index: "index.html", docs: "docs.html" },
      // It advises whoever builds on a slow machine to profile the build.
      checks: { bundlerTimings: false },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/openapi.json"].map((path) => [
        path,
        process.env.CALL2ME_PUBLIC_URL ?? "http://127.0.0.1:8000",
      ]),
    ),
  },
  test: { include: ["tests/**/*.test.ts"] },
});
