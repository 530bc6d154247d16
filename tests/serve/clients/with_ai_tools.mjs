// Vercel's ai with a tool: @ai-sdk/openai with its default, the Responses API, and @ai-sdk/anthropic.
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, name, variant, mode, questions] = process.argv.slice(2);
const settings = { baseURL: url, apiKey: "none" };
const model = variant === "anthropic" ? createAnthropic(settings)(name) : createOpenAI(settings)(name);
const { version } = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));
const look = tool({
  description: "Look something up.",
  inputSchema: z.object({ n: z.string() }),
  execute: async () => "seen",
});

const messages = [];
const answers = [];
for (const question of JSON.parse(questions)) {
  messages.push({ role: "user", content: question });
  const call = { model, messages, tools: { look }, stopWhen: stepCountIs(5), maxRetries: 0 };
  if (variant === "stateless") call.providerOptions = { openai: { store: false } };
  const result = mode === "whole" ? await generateText(call) : streamText(call);
  answers.push(await result.text);
  messages.push(...(await result.response).messages);
}
console.log(JSON.stringify({ answers, version: `ai ${version}` }));
