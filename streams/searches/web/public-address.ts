import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Tells whether an IP address may be connected to. */
export type AddressRule = (address: string) => boolean

/**
 * Whether an address is one of the public internet: not private, loopback, link-local, multicast, reserved, or a way
 * around that (IPv4 within IPv6, translated or tunnelled).
 */
export function isPublicAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast'
}

/** A page lies where nothing may be fetched from. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress'
}

/**
 * Looks a name up and gives the allowed addresses alone. What connects uses these and asks no second time, so a name
 * that resolves to something else a moment later gains nothing.
 */
export function lookupOf(isAllowed: AddressRule): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) return callback(error, '', 0)
      const allowed = addresses.filter(({ address }) => isAllowed(address))
      const [first] = allowed
      if (!first) return callback(new ForbiddenAddress(`${hostname} lies at no public address`), '', 0)
      if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/** @throws {ForbiddenAddress} The host is an address that is not allowed: such a one is never looked up. */
export function checkHost(hostname: string, isAllowed: AddressRule): void {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !isAllowed(host)) throw new ForbiddenAddress(`${host} is no public address`)
}
