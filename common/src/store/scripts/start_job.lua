-- Marks a job as started by one process, and judges its past.
--
-- KEYS  submission, jobs
-- ARGV  job name, generation, boot id, redelivered (0|1), alone (0|1), poison limit
-- Returns {verdict, crashes}: run | run-alone | poison | finished | stale | orphaned | closed
--
-- A job that an earlier boot started and never finished, and that the broker delivers again, may have
-- killed that process: from then on it runs alone. Only crashes while alone count towards the limit, so
-- a neighbour of a poisoned job is never blamed. Told `run-alone`, the process calls again with `alone`
-- once nothing else is in flight; until then the job counts as waiting, for it can harm nobody.

local submission, jobs = KEYS[1], KEYS[2]
local name, generation, boot = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local redelivered, alone, limit = ARGV[4] == '1', ARGV[5] == '1', tonumber(ARGV[6])

local state = redis.call('HGET', submission, 'state')
if not state then return {'orphaned', 0} end
if state ~= 'running' then return {'closed', 0} end

local text = redis.call('HGET', jobs, name)
local job = text and cjson.decode(text) or {crashes = 0, alone_crashes = 0}
if (job.generation or 0) > generation then return {'stale', job.crashes} end
if job.state == 'done' or job.state == 'dead' then return {'finished', job.crashes} end

if redelivered and job.state == 'started' and job.boot ~= boot then
  job.crashes = job.crashes + 1
  if job.alone then job.alone_crashes = job.alone_crashes + 1 end
end
local verdict = 'run'
job.state = 'started'
if job.alone_crashes >= limit then
  verdict, job.state = 'poison', 'poisoned'
elseif job.crashes > 0 and not alone then
  verdict, job.state = 'run-alone', 'waiting'
end
job.boot, job.alone, job.generation = boot, alone, generation
local now = redis.call('TIME')
job.touched_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', jobs, name, cjson.encode(job))
return {verdict, job.crashes}
