// The rules of the board's modules: `npm ci && npm run lint`.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/node_modules/", ".venv/", "docs/"] },
  js.configs.recommended,
  {
    files: ["airflow_provider_smartlive/board/static/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      complexity: ["error", 28], // each ?? and ?. counts
      eqeqeq: "error",
      "no-restricted-properties": [
        "error",
        { property: "dangerouslySetInnerHTML", message: "Texts come from outside: they are set as text." },
        { property: "innerHTML", message: "Texts come from outside: they are set as text." },
        { property: "outerHTML", message: "Texts come from outside: they are set as text." },
        { property: "insertAdjacentHTML", message: "Texts come from outside: they are set as text." },
      ],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-var": "error",
      "prefer-const": "error",
      "max-len": ["error", { code: 120, ignoreTemplateLiterals: true }],
    },
  },
  {
    files: ["tests/board/*.js", "eslint.config.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.node },
  },
];
