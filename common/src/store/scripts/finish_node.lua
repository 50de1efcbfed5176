-- Stores the result of one node of a training step or evaluation, once.
--
-- KEYS  submission, jobs, nodes
-- ARGV  job name, parameter version, node, bytes, notification channel, submission id
-- Returns applied | repeated | conflict | stale | orphaned | closed
--
-- Duplicates must be identical, byte for byte: the first result is stored, and a different one is a conflict.

local submission, jobs, nodes = KEYS[1], KEYS[2], KEYS[3]
local state = redis.call('HGET', submission, 'state')
if not state then return 'orphaned' end
if state ~= 'running' then return 'closed' end
if redis.call('HGET', submission, 'version') ~= ARGV[2] then return 'stale' end

redis.call('HDEL', jobs, ARGV[1])
local first = redis.call('HGET', nodes, ARGV[3])
if first then return first == ARGV[4] and 'repeated' or 'conflict' end
redis.call('HSET', nodes, ARGV[3], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'applied'
