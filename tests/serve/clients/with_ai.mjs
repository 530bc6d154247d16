// Vercel's ai: the response messages of the last call, with the provider for OpenAI and the one for compatible servers.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const [url, name, variant, mode, questions] = process.argv.slice(2);
const settings = { baseURL: url, apiKey: "none", name: "z1" };
const model = variant === "compatible" ? createOpenAICompatible(settings)(name) : createOpenAI(settings).chat(name);
const { version } = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));

const messages = [];
const answers = [];
for (const question of JSON.parse(questions)) {
  messages.push({ role: "user", content: question });
  const settings = { model, messages, maxRetries: 0 };
  const result = mode === "whole" ? await generateText(settings) : streamText(settings);
  answers.push(await result.text);
  messages.push(...(await result.response).messages);
}
console.log(JSON.stringify({ answers, version: `ai ${version}` }));
