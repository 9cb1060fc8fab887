import { z } from 'zod'
import { nounOfTopic } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { openPipeline } from '../pipeline.ts'
import { sinkFor, sinks } from '../sinks/index.ts'
import { defineCommand } from '../terminal/command.ts'

export const command = defineCommand({
  name: 'export',
  summary: 'writes the records of a topic to a file',
  usage: 'TOPIC --out FILE',
  words: { min: 1, max: 1 },
  settings: kafkaSettingNames,
  options: {
    out: z.string().min(1).describe('File to write; - is stdout. The file is whole or not there.'),
    format: z
      .enum(sinks.map(({ name }) => name) as [string, ...string[]])
      .optional()
      .describe('Format; default: by the ending of the file.'),
    variant: z.string().min(1).optional().describe('Of this variant; default: of the main line.'),
  },
  examples: ['situ export deduped --out instructions.jsonl', 'situ export deduped --out instructions.jsonl.gz'],
  async run({ config, words: [topic = ''], output, stop, log }, { out, format, variant }) {
    const noun = nounOfTopic(topic)
    const sink = sinkFor(out, format ?? null)
    const pipeline = await openPipeline(config, 'read')
    try {
      const view = (await readVariants(pipeline)).view(topic, variant)
      const writer = await sink.open(out)
      let records = 0
      for (let partition = 0; partition < pipeline.partitions && !stop.aborted; partition++) {
        for await (const { messages } of pipeline.transport.read(view.topic, partition, 0, { signal: stop })) {
          for (const { value, offset } of messages) {
            if (value === null) continue
            const record = await pipeline.serde.decodeOwn(noun, value)
            if (!record) {
              const place = `${view.topic}/${partition}/${offset}`
              log.warn({ topic: view.topic, partition, offset }, `${place} is no record of this topic and is left out`)
              continue
            }
            if (!view.keeps(record)) continue
            await writer.write({ ...record })
            records++
          }
        }
      }
      if (stop.aborted) {
        await writer.abort()
        return 130
      }
      await writer.close()
      if (out !== '-')
        await output.line(
          config.settings.json ? JSON.stringify({ topic, records, out }) : `${records} records of ${topic} in ${out}`,
        )
      return 0
    } finally {
      await pipeline.close()
    }
  },
})
