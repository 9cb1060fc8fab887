import { describe, expect, it } from 'vitest'
import { findPii } from '../../../operators/mask/find-pii.ts'
import { piiKinds } from '../../../operators/mask/pii-kinds.ts'

function found(text: string, kinds: readonly (typeof piiKinds)[number][] = piiKinds, country = 'US'): string[] {
  return findPii(text, kinds, country).map(({ kind, start, end }) => `${kind}: ${text.slice(start, end)}`)
}

describe('personal data', () => {
  it.each([
    ['Write to Jane.Doe+x@corp.io.', ['email: Jane.Doe+x@corp.io']],
    ['[team](mailto:a_b@mail.gov.uk)', ['email: a_b@mail.gov.uk']],
    ['Call (202) 456-1111, or 202-456-1111.', ['phone: (202) 456-1111', 'phone: 202-456-1111']],
    ['Rufen Sie +49 30 901820 an.', ['phone: +49 30 901820']],
    ['Dial 202.456.1111 now', ['phone: 202.456.1111']],
    ['The card 4111 1111 1111 1111, paid.', ['card: 4111 1111 1111 1111']],
    ['card=378282246310005;', ['card: 378282246310005']],
    ['To DE89 3704 0044 0532 0130 00 AND SO on', ['iban: DE89 3704 0044 0532 0130 00']],
    ['GB29NWBK60161331926819', ['iban: GB29NWBK60161331926819']],
    ['Seen from 218.111.175.34 at noon', ['ip: 218.111.175.34']],
    ['Seen from 2001:4860:4001:801::1011.', ['ip: 2001:4860:4001:801::1011']],
  ])('are found in %j', (text, wanted) => {
    expect(found(text)).toEqual(wanted)
  })

  it.each([
    ['an address set aside for examples', 'me@example.com, a@host.example.org, x@y.test, root@localhost'],
    ['a decorator or a package', '@Component({}) npm i @scope/name@1.2.3'],
    ['a wrong check digit', 'DE89 3704 0044 0532 0130 01, 4111 1111 1111 1112'],
    ['an id within a longer one', '5803121de29790b65000 rules/triggers/5591644703004 x4111111111111111'],
    ['a private or reserved address', '127.0.0.1, 10.0.0.8, 192.168.1.20, 192.0.2.44, ::1, fe80::1ff:fe23:4567:890a'],
    ['the number of a release or section', 'V8 4.1.0.21, v101.45.33.21, #### 4.4.1.1, Chrome/91.0.4472.124'],
    ['a slice or a path in code', 'image[::2, ::2] *const T>::add 10:30:45'],
    ['coordinates, dates and plain ids', '42.4405,-75.6608 41.4102,-73.5422 2015-01-12-15 2024561111 1,234,567,890'],
  ])('are not seen in %s', (_what, text) => {
    expect(found(text)).toEqual([])
  })

  it('are told apart: what is found as one kind is no other', () => {
    expect(found('GB29 NWBK 6016 1331 9268 19')).toEqual(['iban: GB29 NWBK 6016 1331 9268 19'])
    expect(found('Card 4111 1111 1111 1111', ['card', 'phone'])).toEqual(['card: 4111 1111 1111 1111'])
  })

  it('are looked for by kind, and phone numbers without a prefix by country', () => {
    expect(found('a@corp.io +49 30 901820', ['phone'])).toEqual(['phone: +49 30 901820'])
    expect(found('Tel. 030 901820', ['phone'], 'DE')).toEqual(['phone: 030 901820'])
    expect(found('Tel. 030 901820', ['phone'], 'US')).toEqual([])
  })

  it('take time that grows with the text, whatever it holds', () => {
    for (const part of ['a@', 'a.', '1 ', '1:', 'AB12 ', '(1) ']) {
      expect(findPii(part.repeat(20_000), piiKinds, 'US').length).toBeLessThan(20_000)
    }
  })
})
