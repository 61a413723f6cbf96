import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes a .gz beside every text asset; the api serves it to browsers that accept it. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    async generateBundle(_options, bundle) {
      const { gzipSync } = await import("node:zlib");
      for (const file of Object.values(bundle)) {
        const source = file.type === "chunk" ? file.code : file.source;
        if (/\.(js|css|svg)$/.test(file.fileName) && source.length > 1024) {
          this.emitFile({
            type: "asset",
            fileName: `${file.fileName}.gz`,
            source: gzipSync(source, { level: 9 }),
          });
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [compressed()],
  build: {
    target: "es2022",
    // A data: URL would need a hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    rolldownOptions: { input: { index: "index.html", docs: "docs.html" } },
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
