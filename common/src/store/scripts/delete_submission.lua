#!lua flags=allow-oom
-- Deletes an ended submission or run with its data, also while Redis refuses other writes because its memory is full.
--
-- KEYS  submission, then its data
-- Returns deleted | open | missing

local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'missing' end
if state == 'preparing' or state == 'running' then return 'open' end
redis.call('UNLINK', unpack(KEYS))
return 'deleted'
