import { SituError } from '../../schemas/errors.ts'

const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Milliseconds of `30d`, `12h`, `90m`; a number and one of the units s, m, h, d, w. @throws {SituError} USAGE */
export function parseDuration(flag: string, text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([a-z])$/.exec(text) ?? []
  const ms = Number(number) * (units[unit] ?? Number.NaN)
  if (Number.isFinite(ms)) return ms
  throw new SituError('USAGE', `${flag} ${text}: expected a number and a unit, such as 30d, 12h or 45m`)
}
