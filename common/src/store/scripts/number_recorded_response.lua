-- Numbers an answer that a crawl keeps because it could not be read.
--
-- KEYS  submission
-- ARGV  how many are kept at most
-- Returns its number from 1; 0 where it is one too many, or the submission is gone

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'kept_answers') or 0) >= tonumber(ARGV[1]) then return 0 end
return redis.call('HINCRBY', KEYS[1], 'kept_answers', 1)
