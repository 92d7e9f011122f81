// Tells what is wrong with a page, by html-validate.
//
// Each line of input is a page as a JSON string; each line of output is a JSON array of findings, empty for a good one.
import { createInterface } from "node:readline";
import { HtmlValidate, StaticConfigLoader } from "html-validate";

const validator = new HtmlValidate(
  new StaticConfigLoader({
    extends: ["html-validate:recommended", "html-validate:document"],
    rules: {
      // Styles and scripts are our own, and never of another origin.
      "require-sri": ["error", { target: "crossorigin" }],
      // Selected sessions are many fields of one name.
      "form-dup-name": "off",
    },
  }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const { results } = await validator.validateString(JSON.parse(line));
  const findings = results.flatMap(({ messages }) => messages);
  console.log(JSON.stringify(findings.map((f) => `${f.line}:${f.column} ${f.ruleId}: ${f.message} (${f.selector})`)));
}
