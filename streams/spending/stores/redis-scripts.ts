import { burstShare, raisedForMs, windowMs } from '../turns.ts'
import { aliveMs, keepRunsMs } from './sums.ts'

/**
 * What has to happen in one piece, as Lua within Redis. KEYS[1] is the prefix of all keys (one hash slot), ARGV[1] the
 * time, or empty for the clock of the server.
 */
const opening = `
local prefix = KEYS[1]
local function key(...) return table.concat({prefix, ...}, ':') end
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Asked for a second time, since the answer of the first was lost: nothing may be added twice.
local function isRepeated(operation)
  return not redis.call('SET', key('operation', operation), 1, 'NX', 'EX', 600)
end
`

const buckets = `
local function text(number) return string.format('%.17g', number) end
local function readBucket(name)
  local kept = redis.call('HMGET', name, 'level', 'at', 'asked', 'burst', 'raisedUntil')
  if not kept[1] then return nil end
  return { level = tonumber(kept[1]), at = tonumber(kept[2]), asked = tonumber(kept[3]),
    burst = tonumber(kept[4]), raisedUntil = tonumber(kept[5]) }
end
local function keepBucket(name, bucket)
  redis.call('HSET', name, 'level', text(bucket.level), 'at', text(bucket.at), 'asked', text(bucket.asked),
    'burst', text(bucket.burst), 'raisedUntil', text(bucket.raisedUntil))
  redis.call('PEXPIRE', name, math.ceil(math.max(0, bucket.at - now)) + 3600000)
end
`

/** ARGV: key, time of the reply, value. */
const putReply = `
local name = key('reply', ARGV[2])
if redis.call('EXISTS', name) == 1 then return 0 end
redis.call('SET', name, ARGV[4])
redis.call('ZADD', key('replies'), ARGV[3], ARGV[2])
redis.call('HINCRBY', key('counter'), 'bytes', #ARGV[4])
return 1
`

/** ARGV: keys. */
const rejectReplies = `
for index = 2, #ARGV do
  local score = redis.call('ZSCORE', key('replies'), ARGV[index])
  if score then
    local kept = ARGV[index] .. '.' .. redis.call('HINCRBY', key('counter'), 'rejections', 1)
    redis.call('RENAME', key('reply', ARGV[index]), key('reply', kept))
    redis.call('ZREM', key('replies'), ARGV[index])
    redis.call('ZADD', key('rejected'), score, kept)
  end
end
return 0
`

/** ARGV: times, tokens, US dollars. */
const countServed = `
redis.call('HINCRBY', key('counter'), 'times', ARGV[2])
redis.call('HINCRBY', key('counter'), 'tokens', ARGV[3])
redis.call('HINCRBYFLOAT', key('counter'), 'usd', ARGV[4])
return 0
`

const cacheSummary = `
local counter = redis.call('HMGET', key('counter'), 'bytes', 'times', 'tokens', 'usd')
local replies = redis.call('ZRANGE', key('replies'), 0, 0, 'WITHSCORES')
local rejected = redis.call('ZRANGE', key('rejected'), 0, 0, 'WITHSCORES')
return { redis.call('ZCARD', key('replies')), redis.call('ZCARD', key('rejected')), counter[1] or '0',
  replies[2] or '', rejected[2] or '', counter[2] or '0', counter[3] or '0', counter[4] or '0' }
`

/** ARGV: before this time, at most so many of each kind. */
const clearReplies = `
local deleted = 0
for _, set in ipairs({ 'replies', 'rejected' }) do
  local old = redis.call('ZRANGEBYSCORE', key(set), '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
  for _, id in ipairs(old) do
    redis.call('HINCRBY', key('counter'), 'bytes', -redis.call('STRLEN', key('reply', id)))
    redis.call('UNLINK', key('reply', id))
    redis.call('ZREM', key(set), id)
  end
  deleted = deleted + #old
end
return deleted
`

/** The arithmetic of turns.ts. ARGV: endpoint, then name, limit and amount of each rate. */
const bookTurn = `${buckets}
local prepared, at = {}, now
for index = 3, #ARGV, 3 do
  local rate, perMinute = ARGV[index], tonumber(ARGV[index + 1])
  local amount = math.min(tonumber(ARGV[index + 2]), perMinute)
  local isRequests = rate == 'requests'
  local usual = perMinute * ${burstShare}
  if isRequests then usual = math.max(1, math.floor(usual)) end
  local name = key('bucket', rate, ARGV[2])
  local bucket = readBucket(name)
  if not bucket then
    bucket = { level = 0, at = now - ${windowMs}, burst = usual, raisedUntil = now }
  else
    bucket.at = bucket.at - math.max(0, bucket.asked - now)
    if not (bucket.raisedUntil > now and bucket.burst > usual) then bucket.burst = usual end
  end
  local perMs = (perMinute - bucket.burst + (isRequests and 1 or 0)) / ${windowMs}
  at = math.max(at, bucket.at, bucket.at + (bucket.level + amount - bucket.burst) / perMs)
  table.insert(prepared, { name = name, bucket = bucket, amount = amount, perMs = perMs, usual = usual,
    raised = math.max(bucket.burst, math.min(amount, math.max(usual, perMinute / 2))) })
end
for _, one in ipairs(prepared) do
  local bucket, amount = one.bucket, one.amount
  local raisedUntil = bucket.raisedUntil
  if amount > one.usual and amount >= bucket.burst / 2 then raisedUntil = at + ${raisedForMs} end
  keepBucket(one.name, { level = math.max(0, bucket.level - (at - bucket.at) * one.perMs) + amount, at = at,
    asked = now, burst = one.raised, raisedUntil = raisedUntil })
end
return text(at - now)
`

/** ARGV: operation, endpoint, then name and difference of each rate. */
const settleTurn = `${buckets}
if isRepeated(ARGV[2]) then return 0 end
for index = 4, #ARGV, 2 do
  local name = key('bucket', ARGV[index], ARGV[3])
  local bucket = readBucket(name)
  if bucket then
    bucket.level = math.max(0, bucket.level + tonumber(ARGV[index + 1]))
    keepBucket(name, bucket)
  end
end
return 0
`

/** ARGV: worker, name for a new run. */
const joinRun = `
redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', '(' .. (now - ${aliveMs}))
local other = redis.call('ZRANGE', key('workers'), 0, 0)[1]
local run = other and redis.call('HGET', key('runs'), other) or ARGV[3]
if not other then redis.call('DEL', key('runs')) end
redis.call('ZADD', key('workers'), now, ARGV[2])
redis.call('HSET', key('runs'), ARGV[2], run)
return run
`

/** ARGV: worker. */
const leaveRun = `
redis.call('ZREM', key('workers'), ARGV[2])
redis.call('HDEL', key('runs'), ARGV[2])
return 0
`

/** ARGV: operation, worker, run, calls, tokens, US dollars. */
const spend = `
local isNew = not isRepeated(ARGV[2])
redis.call('ZADD', key('workers'), now, ARGV[3])
redis.call('HSET', key('runs'), ARGV[3], ARGV[4])
local day = math.floor(now / 86400000)
local sums = {}
for _, name in ipairs({ key('spent', 'run', ARGV[4]), key('spent', 'day', day) }) do
  if isNew then
    redis.call('HINCRBY', name, 'calls', ARGV[5])
    redis.call('HINCRBY', name, 'tokens', ARGV[6])
    redis.call('HINCRBYFLOAT', name, 'usd', ARGV[7])
    redis.call('PEXPIRE', name, ${keepRunsMs})
  end
  for _, field in ipairs({ 'calls', 'tokens', 'usd' }) do
    table.insert(sums, redis.call('HGET', name, field) or '0')
  end
end
return sums
`

const bodies = {
  putReply,
  rejectReplies,
  countServed,
  cacheSummary,
  clearReplies,
  bookTurn,
  settleTurn,
  joinRun,
  leaveRun,
  spend,
}

export type ScriptName = keyof typeof bodies

export const scripts = Object.fromEntries(
  Object.entries(bodies).map(([name, body]) => [name, `${opening}${body}`]),
) as Record<ScriptName, string>
