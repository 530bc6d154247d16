// The openai package for node: plain messages, the message as it came, and the helpers that parse and stream.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [url, model, variant, mode, questions] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const { version } = JSON.parse(readFileSync("node_modules/openai/package.json", "utf8"));

async function ask(messages) {
  const body = { model, messages };
  if (mode === "whole") {
    const reply = variant === "helper" ? client.chat.completions.parse(body) : client.chat.completions.create(body);
    return (await reply).choices[0].message;
  }
  if (variant === "helper") return client.chat.completions.stream(body).finalMessage();
  let content = "";
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
    content += chunk.choices[0]?.delta?.content ?? "";
  }
  return { role: "assistant", content };
}

const messages = [];
const answers = [];
for (const question of JSON.parse(questions)) {
  messages.push({ role: "user", content: question });
  const message = await ask(messages);
  answers.push(message.content);
  messages.push(variant === "plain" ? { role: "assistant", content: message.content } : message);
}
console.log(JSON.stringify({ answers, version: `openai for node ${version}` }));
