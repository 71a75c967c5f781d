// Vercel's AI SDK against the gateway, as its documentation has it; what came of each step, as JSON.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = createOpenAICompatible({
  name: "isthmus",
  baseURL: process.env.BASE_URL,
  apiKey: process.env.KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider("fast");
const rate = tool({
  description: "Say the exchange rate in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `0.97 in ${city}`,
});
const common = { model, maxRetries: 0 };
const steps = {};
steps.chat = (await generateText({ ...common, prompt: "hello" })).text;
const loop = await generateText({ ...common, prompt: "rate?", tools: { rate }, stopWhen: stepCountIs(3) });
steps.tools = [loop.steps[0].toolResults[0].output, loop.text];
steps.stream = "";
for await (const piece of streamText({ ...common, prompt: "hello" }).textStream) steps.stream += piece;
const streamed = streamText({ ...common, prompt: "rate?", tools: { rate }, stopWhen: stepCountIs(3) });
await streamed.consumeStream();
steps.streamed_tools = (await streamed.steps)[0].toolCalls.map((call) => call.input);
steps.again = await streamed.text;
const place = await generateObject({ ...common, prompt: "where?", schema: z.object({ city: z.string() }) });
steps.object = place.object.city;
const vectors = await embedMany({ model: provider.textEmbeddingModel("vectors"), values: ["one", "two"] });
steps.embeddings = vectors.embeddings;
console.log(JSON.stringify(steps));
