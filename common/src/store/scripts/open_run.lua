-- Opens a run, unless it was closed while it was prepared.
--
-- KEYS  submission
-- Returns 1 if it was opened, else 0

if redis.call('HGET', KEYS[1], 'state') ~= 'preparing' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running')
return 1
