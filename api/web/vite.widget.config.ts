/** What widgets load, each in one file under an address that never changes; built after the pages. */

import { defineConfig } from "vite";
import { compressed } from "./vite.compressed.ts";

export default defineConfig(({ mode }) => ({
  plugins: [compressed()],
  build: {
    target: "es2022",
    outDir: "dist/widget",
    emptyOutDir: false,
    modulePreload: false,
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: { [mode]: `src/widget/${mode}.ts` },
      preserveEntrySignatures: "strict",
      output: {
        // A classic script shares its names with the page it stands on; a module does not.
        format: mode === "embed" ? "iife" : "es",
        entryFileNames: "[name].js",
      },
      // Vite's own helper for imports has one; nothing of it is left in the script.
      checks: { bundlerTimings: false, emptyImportMeta: false },
    },
  },
}));
