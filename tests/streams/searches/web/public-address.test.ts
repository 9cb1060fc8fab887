import { describe, expect, it } from 'vitest'
import { checkHost, isPublicAddress, lookupOf } from '../../../../streams/searches/web/public-address.ts'

describe('public addresses', () => {
  it.each(['8.8.8.8', '1.1.1.1', '2001:4860:4860::8888', '::ffff:8.8.8.8'])('%s is one', address => {
    expect(isPublicAddress(address)).toBe(true)
  })

  it.each([
    '127.0.0.1',
    '127.255.0.3',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.0.1',
    '100.64.0.1',
    '169.254.169.254',
    '0.0.0.0',
    '192.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001::1',
    '2001:db8::1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fec0::1',
    'ff02::1',
    '',
    'localhost',
  ])('%s is none', address => {
    expect(isPublicAddress(address)).toBe(false)
  })

  it('an address in the place of a name is checked, with or without brackets', () => {
    expect(() => checkHost('[::1]', isPublicAddress)).toThrow('::1 is no public address')
    expect(() => checkHost('10.0.0.1', isPublicAddress)).toThrow('10.0.0.1')
    expect(() => checkHost('example.org', isPublicAddress)).not.toThrow()
  })

  it.each([{ all: true }, { all: false }])('a name gives its allowed addresses alone, asked with %j', async options => {
    const look = (isAllowed: (address: string) => boolean) =>
      new Promise((resolve, reject) => {
        lookupOf(isAllowed)('localhost', options, (error, address) => (error ? reject(error) : resolve(address)))
      })
    await expect(look(isPublicAddress)).rejects.toThrow('localhost lies at no public address')
    const allowed = await look(address => address === '127.0.0.1')
    expect(allowed).toEqual(options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1')
  })
})
