"""instructor against the gateway, as its documentation has it; what came of each step, as JSON."""

import json
import os

import instructor
import openai
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    city: str


plain = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0)
steps = {}
for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA):
    client = instructor.from_openai(plain, mode=mode)
    place = client.chat.completions.create(
        model="fast", response_model=Place, max_retries=0, messages=[{"role": "user", "content": "where?"}]
    )
    steps[mode.value] = place.city
print(json.dumps(steps))
