// OpenAI's client for Node against the gateway, as its documentation has it; what came of each step, as JSON.

import OpenAI from "openai";

const RATE = {
  type: "function",
  function: { name: "rate", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const model = "fast";
const messages = [{ role: "user", content: "what is the rate?" }];
const steps = {};
steps.models = (await client.models.list()).data.map((each) => each.id);
steps.model = (await client.models.retrieve(model)).id;
steps.chat = (await client.chat.completions.create({ model, messages })).choices[0].message.content;
const answer = (await client.chat.completions.create({ model, messages, tools: [RATE] })).choices[0].message;
messages.push(answer);
for (const call of answer.tool_calls) {
  const { city } = JSON.parse(call.function.arguments);
  messages.push({ role: "tool", tool_call_id: call.id, content: `0.97 in ${city}` });
}
const last = await client.chat.completions.create({ model, messages, tools: [RATE] });
steps.tools = [messages.at(-1).content, last.choices[0].message.content];
steps.stream = "";
for await (const piece of await client.chat.completions.create({ model, messages, stream: true })) {
  steps.stream += piece.choices[0]?.delta?.content ?? "";
}
const question = messages.slice(0, 1);
const streamed = await client.chat.completions.stream({ model, messages: question, tools: [RATE] }).finalMessage();
steps.streamed_tools = streamed.tool_calls.map((call) => JSON.parse(call.function.arguments));
messages[1] = streamed;
steps.again = (await client.chat.completions.create({ model, messages })).choices[0].message.content;
const runner = client.chat.completions.runTools({
  model,
  messages: question,
  tools: [{ ...RATE, function: { ...RATE.function, parse: JSON.parse, function: ({ city }) => `0.97 in ${city}` } }],
});
steps.run_tools = await runner.finalContent();
const vectors = await client.embeddings.create({ model: "vectors", input: ["one", "two"] });
steps.embeddings = vectors.data.map((each) => each.embedding);
console.log(JSON.stringify(steps));
