# vLLM's own image with z1's plug-in in it. Build it from the root of the repository:
#
#     docker build -f deploy/vllm.Dockerfile -t vllm-z1 .
FROM vllm/vllm-openai:v0.32.0

COPY pyproject.toml README.md LICENSE /z1/
COPY src /z1/src
# vLLM's image has all that the plug-in imports, in the versions that vLLM needs
RUN pip install --no-cache-dir --no-deps /z1
