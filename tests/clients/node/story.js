// The story of a shop, told with the vendor's own npm client, unchanged. Prints one JSON object for the test to look at.
// Usage: node story.js URL APP_ID APP_TOKEN
'use strict'
const { VoucherifyServerSide } = require('@voucherify/sdk')

const [url, applicationId, secretKey] = process.argv.slice(2)
const client = VoucherifyServerSide({ applicationId, secretKey, apiUrl: url })

async function finished(id) {
  for (;;) {
    const found = await client.distributions.exports.get(id)
    if (found.status === 'DONE') return found
    if (found.status === 'ERROR') throw new Error(JSON.stringify(found))
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

async function rows(made) {
  const found = await finished(made.id)
  const answer = await fetch(found.result.url)
  return { status: made.status, type: answer.headers.get('content-type'), lines: (await answer.text()).trimEnd().split('\n') }
}

async function main() {
  const told = {}
  const campaign = await client.campaigns.create({
    name: 'Points', campaign_type: 'LOYALTY_PROGRAM', type: 'AUTO_UPDATE',
    voucher: { type: 'LOYALTY_CARD', loyalty_card: { points: 0 } },
  })
  const gifts = await client.campaigns.create({
    name: 'Gifts', campaign_type: 'GIFT_VOUCHERS', type: 'AUTO_UPDATE',
    voucher: { type: 'GIFT_VOUCHER', gift: { amount: 10000 } },
  })
  await client.customers.create({ source_id: 'ann', name: 'Ann' })
  await client.customers.create({ source_id: 'bob', name: 'Bob' })
  await client.loyalties.createEarningRule(campaign.id, [
    { event: 'order.paid', loyalty: { type: 'PROPORTIONAL', calculation_type: 'ORDER_AMOUNT', order: { amount: { every: 100, points: 1 } } },
      source: { banner: 'One point a unit' } },
  ])
  const ann = await client.loyalties.createMember(campaign.id, { customer: { source_id: 'ann' } })
  const bob = await client.loyalties.createMember(campaign.id, { customer: { source_id: 'bob' } })
  await client.orders.create({ source_id: 'order-1', amount: 25000, status: 'PAID', customer: { source_id: 'ann' } })
  await client.loyalties.addOrRemoveCardBalance(ann.code, { points: 100 }, campaign.id)
  await client.loyalties.addOrRemoveCardBalance(ann.code, { points: -30 }, campaign.id)
  await client.loyalties.transferPoints(campaign.id, bob.code, [{ code: ann.code, points: 20, reason: 'For Bob', source_id: 't-1' }])

  const gift = await client.vouchers.create({ type: 'GIFT_VOUCHER', gift: { amount: 5000 } })
  const published = await client.distributions.publications.create({ campaign: { name: 'Gifts' }, customer: { source_id: 'ann' } })
  await client.vouchers.balance.create(gift.code, { amount: 1000 })
  await client.vouchers.balance.create(gift.code, { amount: -500 })
  const redeemed = await client.redemptions.redeemStackable({
    redeemables: [{ object: 'voucher', id: gift.code, gift: { credits: 700 } }],
    customer: { source_id: 'ann' }, order: { amount: 700 },
  })
  await client.redemptions.rollback(redeemed.redemptions[0].id, { reason: 'Returned' })
  const legacy = await client.redemptions.redeem(gift.code, { order: { amount: 100 }, gift: { credits: 100 } })
  await client.vouchers.disable(gift.code)
  try {
    await client.vouchers.balance.create(gift.code, { amount: 1 })
  } catch (error) {
    told.refused = { code: error.code, key: error.key, request_id: error.request_id }
  }
  await client.vouchers.enable(gift.code)

  told.published = published.voucher.campaign === gifts.name
  told.legacy = legacy.result
  told.listed = (await client.loyalties.listCardTransactions(ann.code, campaign.id, { limit: 10 })).data.map(t => t.type)
  told.balance = (await client.vouchers.get(gift.code)).gift.balance
  told.card = await rows(await client.vouchers.exportTransactions(gift.code, { parameters: { order: 'created_at', fields: ['type', 'amount', 'balance'] } }))
  told.member = await rows(await client.loyalties.exportCardTransactions(ann.code, campaign.id, { parameters: { order: 'created_at', fields: ['type', 'amount', 'balance'] } }))
  told.vouchers = await rows(await client.distributions.exports.create({ exported_object: 'voucher', parameters: { fields: ['code', 'voucher_type'] } }))
  const all = await client.distributions.exports.list({ limit: 10, page: 1 })
  told.total = all.total
  await client.distributions.exports.delete(all.exports[0].id)
  told.left = (await client.distributions.exports.list()).total
  told.each = {}
  const kinds = ['voucher', 'redemption', 'publication', 'customer', 'order', 'points_expiration', 'voucher_transactions', 'product', 'sku']
  for (const kind of kinds) {
    const made = await client.distributions.exports.create({ exported_object: kind, parameters: {} })
    const { type, lines } = await rows(made)
    const found = await client.distributions.exports.get(made.id)
    const listed = (await client.distributions.exports.list({ limit: 1, page: 1, order: '-created_at' })).exports.map(e => e.id)
    await client.distributions.exports.delete(made.id)
    const gone = await client.distributions.exports.get(made.id).catch(error => error.code)
    told.each[kind] = { made, type, header: lines[0], rows: lines.length - 1, result: found.result, listed: listed[0] === made.id, gone }
  }
  console.log(JSON.stringify(told))
}

main().catch(error => { console.error(error, JSON.stringify(error)); process.exit(1) })
