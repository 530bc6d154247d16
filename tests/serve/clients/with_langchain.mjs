// LangChain for node: the message as it came, or the sum of its chunks.
import { readFileSync } from "node:fs";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";

const [url, model, variant, mode, questions] = process.argv.slice(2);
const chat = new ChatOpenAI({ model, apiKey: "none", maxRetries: 0, configuration: { baseURL: url } });
const { version } = JSON.parse(readFileSync("node_modules/@langchain/openai/package.json", "utf8"));

async function ask(messages) {
  if (mode === "whole") return chat.invoke(messages);
  let sum;
  for await (const chunk of await chat.stream(messages)) sum = sum ? sum.concat(chunk) : chunk;
  return sum;
}

const messages = [];
const answers = [];
for (const question of JSON.parse(questions)) {
  messages.push(new HumanMessage(question));
  const message = await ask(messages);
  answers.push(message.content);
  messages.push(message);
}
console.log(JSON.stringify({ answers, version: `@langchain/openai ${version}` }));
