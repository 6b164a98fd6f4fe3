-- KEYS: 1 until when each member of each node is there, 2 on how many nodes each member is.
-- ARGV: 1 the channel, 2 what to do, 3 for how long, 4 the node, 5 and more members.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function gone(entry)
  if redis.call('ZREM', KEYS[1], entry) == 1 then
    local member = string.sub(entry, #ARGV[4] + 1)
    if redis.call('HINCRBY', KEYS[2], member, -1) < 1 then
      redis.call('HDEL', KEYS[2], member)
      redis.call('PUBLISH', ARGV[1], 'l' .. member)
    end
  end
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))) do
  gone(entry)
end
if ARGV[2] == 'members' then return redis.call('HKEYS', KEYS[2]) end
for i = 5, #ARGV do
  if ARGV[2] == 'leave' then
    gone(ARGV[4] .. ARGV[i])
  elseif redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[4] .. ARGV[i]) == 1
    and redis.call('HINCRBY', KEYS[2], ARGV[i], 1) == 1 then
    redis.call('PUBLISH', ARGV[1], 'j' .. ARGV[i])
  end
end
-- Long enough for somebody else to tell that the members are gone.
if ARGV[2] == 'enter' then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] * 4))
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ARGV[3] * 4))
end
return {}
