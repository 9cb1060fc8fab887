import { SituError } from '../../schemas/errors.ts'
import { loadPrompt } from '../bind.ts'
import { stages } from '../chain/topology.ts'
import { closestName } from '../terminal/closest-name.ts'
import { defineCommand } from '../terminal/command.ts'

export const command = defineCommand({
  name: 'prompt',
  summary: 'shows the prompt of an operator, its hash and its placeholders',
  usage: 'show OPERATOR',
  words: { min: 2, max: 2 },
  settings: [],
  options: {},
  examples: ['situ prompt show instruct', 'situ prompt show instruct --json | jq -r .text > my-instruct.md'],
  notes: [
    'situ prompt show instruct > my-instruct.md copies it: the comment on top is no part of the prompt or its hash.',
  ],
  async run({ config, words: [verb = '', name = ''], output }) {
    if (verb !== 'show') throw new SituError('USAGE', `unknown word ${verb}${closestName(verb, ['show'])}`)
    const withPrompt = stages.filter(stage => stage.operator.prompt)
    const stage = withPrompt.find(stage => stage.name === name)
    if (!stage) {
      const known = withPrompt.map(stage => stage.name)
      throw new SituError('USAGE', `no operator ${name} with a prompt${closestName(name, known)}`)
    }
    const { hash, text, placeholders } = loadPrompt(stage, config.operators[name]?.prompt)
    if (config.settings.json) await output.json({ operator: name, hash, placeholders, text })
    else {
      await output.line(`<!-- ${name}: hash ${hash}; placeholders ${placeholders.join(', ')} -->\n`)
      await output.line(text.trimEnd())
    }
    return 0
  },
})
