import ipaddr from 'ipaddr.js'
import { type CountryCode, findPhoneNumbersInText } from 'libphonenumber-js'
import validator from 'validator'
import { type PiiKind, piiKinds } from './pii-kinds.ts'

export interface PiiMatch {
  kind: PiiKind
  /** Where it begins and ends in the text, in UTF-16 units. */
  start: number
  end: number
}

/**
 * Personal data in a text: e-mail addresses, IBANs and card numbers whose check digits are right, public IP addresses,
 * and phone numbers that can be dialled. Addresses that are set aside for examples and for private networks are none.
 *
 * @param country - ISO 3166-1 code of the country whose phone numbers may lack the international prefix.
 * @returns The matches in the order of the text; none overlaps another.
 */
export function findPii(text: string, kinds: readonly PiiKind[], country: string): PiiMatch[] {
  const found: PiiMatch[] = []
  // What is found first is nothing else: an IBAN is no card number, and a card number no phone number.
  for (const kind of piiKinds) {
    if (!kinds.includes(kind)) continue
    for (const { start, end } of finders[kind](text, country)) {
      if (!found.some(match => start < match.end && match.start < end)) found.push({ kind, start, end })
    }
  }
  return found.sort((left, right) => left.start - right.start)
}

type Span = Pick<PiiMatch, 'start' | 'end'>

const finders: Record<PiiKind, (text: string, country: string) => Iterable<Span>> = {
  email: text => spans(text, emailForm, value => validator.isEmail(value) && !exampleDomain.test(value)),
  iban: findIbans,
  card: text => spans(text, cardForm, value => validator.isCreditCard(value.replace(/[ -]/g, ''))),
  ip: text => [
    ...spans(text, ipv4Form, value => isPublicIp(value) && !looksLikeRelease(value)),
    ...spans(text, ipv6Form, value => isPublicIp(value) && value.split(':').filter(group => group !== '').length >= 3),
  ],
  phone: (text, country) => findPhones(text, country),
}

const emailForm = /(?<![\w.%+-])[\w%+-][\w.%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])/gi
/** RFC 2606 and 6761. */
const exampleDomain = /@(?:.*\.)?(?:example\.(?:com|net|org)|(?:example|test|invalid|localhost|local))$/i
const cardForm = /(?<![\w.,/-])\d(?:[ -]?\d){12,18}(?![\w/-]|[.,]\d)/g
const ibanForm = /(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])/g
const ipv4Form = /(?<![\d.]|\bv|version |release )(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)/gi
const ipv6Form = /(?<![:.\w])(?:[0-9a-f]{1,4}:|:(?=:)){1,7}(?::|[0-9a-f]{1,4})(?:[0-9a-f:]*[0-9a-f])?(?![:\w])/gi

function* spans(text: string, form: RegExp, isOne: (value: string) => boolean): Generator<Span> {
  for (const { 0: value, index } of text.matchAll(form)) {
    if (isOne(value)) yield { start: index, end: index + value.length }
  }
}

/** A word in capitals behind it may look like its last group. */
function* findIbans(text: string): Generator<Span> {
  for (const { 0: value, index } of text.matchAll(ibanForm)) {
    const groups = value.split(' ')
    for (let count = groups.length; count > 0; count--) {
      const shorter = groups.slice(0, count).join(' ')
      if (!validator.isIBAN(shorter.replaceAll(' ', ''))) continue
      yield { start: index, end: index + shorter.length }
      break
    }
  }
}

function isPublicIp(value: string): boolean {
  return ipaddr.isValid(value) && ipaddr.parse(value).range() === 'unicast'
}

/** Releases and sections are counted in small numbers (4.1.0.21); of addresses that people have, 1 in 100 is. */
function looksLikeRelease(value: string): boolean {
  return value.split('.').filter(number => Number(number) >= 20).length < 2
}

/** The library reads every number of a text: most texts have none that is long enough. */
const phoneForm = /\d(?:[\s()./-]{0,3}\d){6}/

function* findPhones(text: string, country: string): Generator<Span> {
  if (!phoneForm.test(text)) return
  for (const { startsAt, endsAt } of findPhoneNumbersInText(text, { defaultCountry: country as CountryCode })) {
    // A number behind a comma is taken for an extension.
    const value = text.slice(startsAt, endsAt).replace(/,.*$/s, '')
    const end = startsAt + value.length
    if (isWrittenAsPhone(value) && !goesOn(text, startsAt, end)) yield { start: startsAt, end }
  }
}

/** Whether what stands there is a part of a longer number, a date or a list of coordinates. */
function goesOn(text: string, start: number, end: number): boolean {
  return /\d[.,/-]?$/.test(text.slice(Math.max(0, start - 2), start)) || /^[.,/-]?\d/.test(text.slice(end, end + 2))
}

/** Ten digits in a row are an id as often: a phone number is written in groups or with its prefix. */
function isWrittenAsPhone(value: string): boolean {
  if (value.startsWith('+')) return true
  if (/^(?:19|20)\d\d\D/.test(value)) return false
  return /\d[\s()/-]+\d/.test(value) ? !/\d\.\d/.test(value) : /^\d{3}\.\d{3}\.\d{4}$/.test(value)
}
