-- Opens a run, unless it was closed before it began.
--
-- KEYS  submission

if redis.call('HGET', KEYS[1], 'state') ~= 'preparing' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running')
return 1
